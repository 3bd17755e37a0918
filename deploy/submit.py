"""The application for spark-submit: it stands outside the package, which comes as --py-files build/seamline.zip."""

from seamline.cli.main import main

main()

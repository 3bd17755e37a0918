"""What can be done with a project: asked by the command line, by a page or by a scheduler alike. It prints nothing."""

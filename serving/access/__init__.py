"""Who may ask what: tokens and what each may see, certificates, and the log of who asked."""

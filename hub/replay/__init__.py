"""`hub replay`: what was taken once, through the pipeline again; and what comes out differently."""

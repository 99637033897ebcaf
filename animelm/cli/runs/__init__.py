"""The folder of a run: what names it, what may be replaced in it, and what comes after a fit."""

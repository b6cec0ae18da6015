"""The interoperability matrix: our engine and other people's, in every way a tunnel can be configured.

``table`` lists the scenarios, ``rig`` keeps a topology with both daemons for many of them,
``scripts`` say what is done and what must be seen, ``runner`` runs rows and reports.
"""

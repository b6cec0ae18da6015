"""What crosses the border of the box: the document of its networks, and how it is refused."""

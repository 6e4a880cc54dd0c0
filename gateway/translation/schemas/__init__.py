"""JSON Schema into Google's schema, and the arguments of calls back.

references.py     targets of $ref
shapes.py         what a schema allows, type by type; unions and intersections of that
keywords.py       the keywords of one schema as a shape
reading.py        references, conditions and alternatives of a schema as one shape
declarations.py   a shape as Google's schema, and the Restoration for arguments
texts.py          which texts of a call stand for other values
words.py          constraints without a field in Google's schema, as text
restoration.py    the arguments of a call as the client's schema asks for them

Imports nothing of this project.
"""

"""JSON Schema read, joined and declared anew.

references.py     what a $ref points at
shapes.py         what a schema allows, type by type; unions and intersections of that
keywords.py       the keywords of one schema as a shape
reading.py        references, conditions and alternatives of a schema as one shape
declarations.py   a shape as Google's schema, with what to undo in arguments
texts.py          which texts of a call stand for other values
words.py          what Google's schema has no field for, in words
restoration.py    the arguments of a call as the client's schema wants them
"""

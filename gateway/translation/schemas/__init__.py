"""Translation of JSON Schema into Google's schema, and of the arguments of calls back.

tool_schemas.py   the entry: a tool's schema as declaration and Restoration
older_drafts.py   keywords of older drafts as those of 2020-12
references.py     targets of $ref
shapes.py         what a schema allows, type by type; unions and intersections of that
keywords.py       the keywords of one schema as a shape
reading.py        references, conditions and alternatives of a schema as one shape
declarations.py   a shape as Google's schema, and the Restoration for arguments
texts.py          which texts of a call stand for other values
words.py          constraints without a field in Google's schema, as text
restoration.py    the arguments of a call as the client's schema asks for them
losses.py         what Google's schema cannot say of a tool
schema_size.py    limits of what is read

Imports nothing of this project.
"""

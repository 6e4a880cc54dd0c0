"""What Google refuses: the fields it knows, and the rules for turns, tools, schemas and thinking.

Pure. Imports the emulator's models, signatures and error bodies, and no code of the gateway that it judges.
"""

"""Accounts as other tools keep them: one reader for each format of file. Pure.

Imports the rows that the readers make.
"""

"""What the operator must know before an account is used, in one place: commands and pages show this text."""

NOTICE = (
    "Google treats the use of Antigravity sign-in by other programs as a breach of its terms and has "
    "disabled accounts for it. Use an account here only if you accept that risk."
)

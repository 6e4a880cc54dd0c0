"""The notice about Google's terms, which commands and pages show before an account is used."""

NOTICE = (
    "Google treats the use of Antigravity sign-in by other programs as a breach of its terms and has "
    "disabled accounts for it. Use an account here only if you accept that risk."
)

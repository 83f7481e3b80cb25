"""Text that others wrote, made fit to be shown."""


def printable(text: str) -> str:
    r"""The text with escapes in place of all that a terminal would obey or could not show.

    These are control characters, line breaks among them, lone surrogates, and marks of direction. Backslashes stay as they are.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> from mixtura.ground.text import printable
    >>> print(printable("Länge\x1b]0;title\x07 \udce9"))
    Länge\x1b]0;title\x07 \udce9
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def is_encodable(text: str) -> bool:
    """Whether the text can be written as UTF-8: it holds no lone surrogate, such as Python makes of bytes that it cannot decode.

    Parameters
    ----------
    text : str
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

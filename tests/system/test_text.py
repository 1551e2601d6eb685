from hypothesis import given
from hypothesis import strategies as st

from wgan.system.text import escaped


@given(st.text())
def test_escaped_text_is_printable_on_one_line(text):
    shown = escaped(text)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(st.text())
def test_printable_text_is_unchanged(text):
    once = escaped(text)
    assert escaped(once) == once


def test_kept_characters_are_not_escaped():
    assert escaped("a\x1b[31m\n\tb\ud800", keep="\n") == "a\\x1b[31m\n\\tb\\ud800"

from hypothesis import given
from hypothesis import strategies as st

from wgan.system.text import escaped


@given(st.text())
def test_what_is_escaped_prints_on_one_line_in_any_file(text):
    shown = escaped(text)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(st.text())
def test_what_prints_is_left_alone(text):
    once = escaped(text)
    assert escaped(once) == once


def test_characters_that_are_to_be_kept_are():
    assert escaped("a\x1b[31m\n\tb\ud800", keep="\n") == "a\\x1b[31m\n\\tb\\ud800"

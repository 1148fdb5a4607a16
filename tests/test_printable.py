"""Text that users' files hold reaches a terminal in one line, and as text."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.printable import printable


@given(text=st.text(st.characters() | st.sampled_from("\x1b\x9b\n\r\u2028\u202e\0é猫")))
def test_no_character_is_a_command_and_readable_ones_stay(text: str) -> None:
    shown = printable(text)
    kinds = {unicodedata.category(character) for character in shown}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    readable = [c for c in text if unicodedata.category(c)[0] in "LNPSM" or c == " "]
    rest = iter(shown)
    assert all(character in rest for character in readable)

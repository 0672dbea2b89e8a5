from __future__ import annotations

import pytest

from agent.core.errors import Permanent
from agent.sources.genicam.aravis.library import Aravis


def test_missing_library_is_one_line_with_the_package() -> None:
    with pytest.raises(Permanent) as error:
        Aravis("libaravis-that-is-not-there.so.0")
    text = str(error.value)
    assert "libaravis-that-is-not-there.so.0" in text
    assert text.endswith("sudo apt install libaravis-0.8-0")
    assert "\n" not in text


def test_another_library_is_one_line_with_what_it_lacks() -> None:
    with pytest.raises(Permanent) as error:
        Aravis("libc.so.6")
    assert str(error.value) == (
        "libc.so.6 has no arv_update_device_list; wanted Aravis 0.8.11 or later: libaravis-0.8-0"
    )

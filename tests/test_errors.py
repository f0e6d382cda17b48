import pytest

from jvae.errors import InputError, nearest, unknown

NAMES = ("Bald", "Bangs", "Eyeglasses", "Smiling", "Wearing_Hat", "Wearing_Necktie")


def test_nearest_names_come_best_first():
    assert nearest("Wearing_Hats", NAMES)[0] == "Wearing_Hat"
    assert nearest("Wearing_Hats", NAMES, count=1) == ["Wearing_Hat"]


def test_nearest_ignores_case_and_keeps_the_names_as_written():
    assert nearest("eyeglasses", NAMES) == ["Eyeglasses"]
    assert nearest("EYEGLASSES", NAMES) == ["Eyeglasses"]


def test_nearest_of_something_else_is_nothing():
    assert nearest("zzzz", NAMES) == []
    assert nearest("Bald", []) == []


def test_unknown_suggests_what_was_meant():
    error = unknown("attribute", "eye_glasses", NAMES)
    assert isinstance(error, InputError)
    assert str(error) == "unknown attribute 'eye_glasses': did you mean Eyeglasses?"


def test_unknown_lists_all_names_when_none_is_near():
    assert str(unknown("preset", "zzzz", ("book", "demo"))) == "unknown preset 'zzzz': there are: book, demo"


def test_unknown_names_the_range_when_there_are_too_many_to_list():
    ids = [f"{i:06d}.jpg" for i in range(1, 101)]
    message = str(unknown("image", "qq", ids))
    assert message == "unknown image 'qq': there are 100, from 000001.jpg to 000100.jpg"


@pytest.mark.parametrize("name", ["Smilng", "zzzz", "a\nb"])
def test_unknown_is_one_line(name):
    assert "\n" not in str(unknown("attribute", name, NAMES))


def test_input_error_is_a_value_error():
    with pytest.raises(ValueError):
        raise InputError("bad")

"""The pictures in the documents can be made again."""

from pathlib import Path

from tests.client.tui.pictures import PICTURES, main


def test_pictures_show_what_they_tell(tmp_path: Path) -> None:
    """The command writes the files that the documents show, with the story in them."""
    main(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in PICTURES.iterdir())
    for name in names:
        picture = (tmp_path / name).read_text("utf-8").replace("&#160;", " ")
        assert "Masih di terowongan" in picture
        assert "2 of 3" in picture
        assert "we hear nothing" not in picture

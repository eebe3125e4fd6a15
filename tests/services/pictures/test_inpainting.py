from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from sdcpp_rest.services.pictures import inpainting
from sdcpp_rest.services.pictures.inpainting import Filling, Resize
from tests.cases import for_each_case

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 128, 0)


def halves(size: tuple[int, int] = (100, 50)) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture


def mask_with(box: tuple[int, int, int, int], size: tuple[int, int] = (100, 50)) -> Image.Image:
    mask = Image.new("L", size, 0)
    mask.paste(255, box)
    return mask


def test_stretching_keeps_everything() -> None:
    picture = inpainting.resize_to(halves(), (64, 64), "stretch")
    assert picture.size == (64, 64)
    assert (picture.getpixel((2, 60)), picture.getpixel((62, 2))) == (RED, BLUE)


def test_cropping_keeps_the_middle_in_its_proportions() -> None:
    picture = Image.new("RGB", (100, 50), GREEN)
    ImageDraw.Draw(picture).rectangle((0, 0, 20, 50), fill=RED)
    cropped = inpainting.resize_to(picture, (50, 50), "crop")
    assert cropped.size == (50, 50)
    assert cropped.getpixel((1, 25)) == GREEN, "what was left of the middle square is gone"


@for_each_case("size", [(64, 64), (64, 200), (200, 64), (33, 31), (8, 4096)])
def test_filling_keeps_the_whole_picture_and_draws_its_edges_out(size: tuple[int, int]) -> None:
    filled = inpainting.resize_to(halves(), size, "fill")
    assert filled.size == size
    assert filled.getpixel((0, 0)) == RED
    assert filled.getpixel((size[0] - 1, size[1] - 1)) == BLUE
    assert filled.getcolors(100_000) is not None
    assert all(colour != (0, 0, 0) for _, colour in filled.getcolors(100_000) or ())


def test_a_single_pixel_can_be_filled_out() -> None:
    assert inpainting.resize_to(Image.new("RGB", (1, 1), RED), (16, 8), "fill").getpixel((15, 7)) == RED


def test_a_mask_is_its_brightness_or_where_it_is_opaque() -> None:
    grey = mask_with((0, 0, 50, 50))
    assert inpainting.mask_of(grey, (100, 50)).tobytes() == grey.tobytes()
    see_through = Image.new("RGBA", (100, 50), (255, 255, 255, 0))
    see_through.paste((0, 0, 0, 200), (0, 0, 50, 50))
    assert inpainting.mask_of(see_through, (100, 50)).getextrema() == (0, 255)
    assert inpainting.mask_of(see_through, (100, 50), rounded=False).getextrema() == (0, 200)
    assert inpainting.mask_of(Image.new("RGBA", (4, 4), "white"), (4, 4)).getextrema() == (255, 255)


def test_a_mask_can_mean_the_opposite_and_takes_the_pictures_size() -> None:
    mask = inpainting.mask_of(mask_with((0, 0, 50, 50)), (10, 10), inverted=True)
    assert mask.size == (10, 10)
    assert (mask.getpixel((0, 0)), mask.getpixel((9, 9))) == (0, 255)


def test_blur_softens_one_direction_or_both() -> None:
    mask = mask_with((40, 20, 60, 30))
    assert inpainting.blur(mask, 0, 0) is mask
    wide = inpainting.blur(mask, 4, 0)
    assert 0 < wide.getpixel((37, 25)) < 255
    assert wide.getpixel((50, 17)) == 0
    assert 0 < inpainting.blur(mask, 0, 4).getpixel((50, 17)) < 255


def test_a_blur_wider_than_the_filter_takes_leaves_nothing_of_the_mask() -> None:
    mask = mask_with((40, 20, 60, 30))
    assert inpainting.blur(mask, 2**63 - 1, 2**31).getextrema() == inpainting.blur(mask, 10**5, 10**5).getextrema()


@for_each_case(
    ("box", "padding", "size", "expected"),
    [
        ((40, 20, 60, 30), 0, (64, 64), (40, 15, 60, 35)),
        ((40, 20, 60, 30), 5, (64, 32), (30, 15, 70, 35)),
        ((0, 0, 10, 50), 0, (64, 64), (0, 0, 50, 50)),
        ((90, 0, 100, 50), 0, (64, 64), (50, 0, 100, 50)),
        ((0, 0, 100, 50), 32, (64, 64), (0, 0, 100, 50)),
    ],
)
def test_the_part_around_a_mask_has_the_proportions_of_what_is_drawn(
    box: tuple[int, int, int, int], padding: int, size: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert inpainting.part_around(mask_with(box), padding, size) == expected


def test_a_black_mask_has_no_part() -> None:
    assert inpainting.part_around(Image.new("L", (9, 9), 0), 4, (64, 64)) is None


def test_filling_takes_the_colours_around_the_hole() -> None:
    picture, mask = halves(), mask_with((5, 10, 35, 40))
    ImageDraw.Draw(picture).rectangle((5, 10, 34, 39), fill=GREEN)
    filled = inpainting.fill(picture, mask, "fill", 1)
    red, green, blue = filled.getpixel((8, 12))
    assert red > 180
    assert green < 40
    assert blue < 120
    assert filled.getpixel((2, 2)) == RED, "outside of the mask nothing changes"


@pytest.mark.parametrize("filling", ["noise", "nothing", "original"])
def test_other_fillings_change_the_masked_part_alone(filling: Filling) -> None:
    picture, mask = halves(), mask_with((5, 10, 35, 40))
    filled = inpainting.fill(picture, mask, filling, 7)
    assert filled.crop((50, 0, 100, 50)).tobytes() == picture.crop((50, 0, 100, 50)).tobytes()
    colours = len(filled.crop((5, 10, 35, 40)).getcolors(10_000) or ())
    assert colours > 500 if filling == "noise" else colours == 1
    assert (filled.getpixel((20, 20)) == RED) == (filling == "original")
    assert filled.tobytes() == inpainting.fill(picture, mask, filling, 7).tobytes(), "the same seed, the same noise"


@for_each_case("resize", ["stretch", "crop", "fill"])
@for_each_case("only_masked", [True, False])
def test_what_was_drawn_appears_inside_the_mask_alone(resize: Resize, only_masked: bool) -> None:
    picture, mask = halves((100, 100)), mask_with((60, 10, 90, 40), (100, 100))
    work = inpainting.prepare_repaint(
        picture, mask, (64, 64), resize=resize, filling="original", only_masked=only_masked, padding=4, seed=1
    )
    assert work.picture.size == work.mask.size == (64, 64)
    result = inpainting.paste_back(Image.new("RGB", (64, 64), GREEN), work)
    assert result.size == ((100, 100) if only_masked else (64, 64)), "the part is put back into the whole picture"
    scale = result.width / 100
    assert result.getpixel((round(75 * scale), round(25 * scale))) == GREEN
    assert result.getpixel((round(5 * scale), round(90 * scale))) == RED
    assert result.getpixel((round(95 * scale), round(90 * scale))) == BLUE


def test_a_black_mask_leaves_the_picture_as_it_is() -> None:
    picture = halves((64, 64))
    work = inpainting.prepare_repaint(
        picture, Image.new("L", (64, 64), 0), (64, 64), resize="stretch", filling="fill", only_masked=True, padding=0,
        seed=1,
    )  # fmt: skip
    assert work.box is None
    assert inpainting.paste_back(Image.new("RGB", (64, 64), GREEN), work).tobytes() == picture.tobytes()

"""`python -m components.quantize`: weights in fewer bits, and back."""

from pathlib import Path
from typing import Annotated

import typer

from components.core.command_line import run

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)


@app.command()
def compress(
    model: Annotated[Path, typer.Argument(help="Folder of a checkpoint (safetensors).")],
    train: Annotated[Path, typer.Option(help="Training rows, JSON lines of Dialogue.")],
    recipe: Annotated[str, typer.Option(help="YAML file, or the name of one in recipes/.")],
    out: Annotated[Path, typer.Option(help="Folder of the quantized checkpoint.")],
) -> None:
    """Quantizes a model into a checkpoint that vLLM loads as it is.

    What was done goes into `OUT.quantization.json` beside it.

    Examples:

    `python -m components.quantize compress out/merged --train out/train.jsonl
    --recipe smollm2-135m-w4a16 --out out/w4a16`

    `python -m components.quantize compress out/merged --train out/train.jsonl
    --recipe my-quantization.yaml --out out/w8a8`
    """  # noqa: D412
    from components.core.recipes import load_recipe
    from components.quantize.quantize import quantize, write_quantization
    from components.quantize.quantize_step import page
    from components.quantize.settings import RECIPES, QuantizeSettings

    path = Path(recipe) if recipe.endswith(".yaml") else RECIPES / f"{recipe}.yaml"
    done = quantize(model, train, load_recipe(path, QuantizeSettings), out)
    write_quantization(out.with_name(f"{out.name}.quantization.json"), done)
    print(page(done))


@app.command()
def decompress(
    model: Annotated[Path, typer.Argument(help="Folder of a quantized checkpoint.")],
    out: Annotated[Path, typer.Option(help="Folder of the dense checkpoint, float32.")],
) -> None:
    """Writes a quantized model's weights as the plain numbers that they stand for.

    For processors whose vLLM has no kernel for 4-bit weights.

    Example:

    `python -m components.quantize decompress out/w4a16 --out out/w4a16-dense`
    """  # noqa: D412
    from components.quantize.quantize import decompress as write_dense

    write_dense(model, out)
    print(out)


if __name__ == "__main__":
    run(app)

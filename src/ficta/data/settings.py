"""What of the data a run uses."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ficta.base.settings import Settings
from ficta.data.images import ImageSettings
from ficta.data.table.settings import TableSettings


class DataSettings(Settings):
    """What of the data a run uses, and how it is read."""

    path: Annotated[
        str,
        Field(
            description="folder, zip, IDX or NumPy file of pictures, a table (CSV, TSV, Parquet, Excel), or a name: "
            "digits, mnist, fashion-mnist"
        ),
    ]
    conditional: Annotated[
        bool, Field(description="learn to make samples of a given label, or rows with given values in some columns")
    ] = False
    labels: Annotated[
        str,
        Field(description="'auto' (subfolders, labels.csv beside the files) or a CSV file with columns file,label"),
    ] = "auto"
    validation: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="share of the training split held out for choices made during training (at most 5,000 samples)",
        ),
    ] = 0.05
    test: Annotated[
        float,
        Field(ge=0, lt=1, description="share held out for evaluation, where the source has no test split of its own"),
    ] = 0.1
    limit: Annotated[int | None, Field(ge=1, description="use only so many training samples, chosen by the seed")] = (
        None
    )
    split_seed: Annotated[int, Field(ge=0, description="seed of the splits")] = 0
    max_skipped: Annotated[
        float, Field(ge=0, le=1, description="largest share of unreadable files that is put up with")
    ] = 0.01
    resident_limit: Annotated[
        int,
        Field(
            ge=0,
            description="bytes of data kept on the device, or on a CPU read ahead; more is streamed from the cache",
        ),
    ] = 2_000_000_000
    mirror: Annotated[
        str | None, Field(description="address to download a named data set from, instead of the listed ones")
    ] = None
    image: Annotated[ImageSettings, Field(description="how pictures are read")] = ImageSettings()
    table: Annotated[TableSettings, Field(description="how tables are read")] = TableSettings(types={})

    @model_validator(mode="after")
    def _balance_asks(self) -> Self:
        if self.table.balance is not None and not self.conditional:
            raise ValueError(f"table.balance = {self.table.balance!r} needs a conditional run; add --conditional")
        return self

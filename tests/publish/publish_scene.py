"""What the marts of these tests are made of: the contracts of the models."""

import yaml

from storehouse.core.settings import PROJECT

MARTS = ("sales.agg_daily_sales", "feedback.product_ratings")


def contract(mart: str) -> dict[str, str]:
    """Columns and types that the mart promises."""
    schema, table = mart.split(".")
    models = yaml.safe_load((PROJECT / f"models/marts/{schema}/_{schema}__models.yml").read_text())["models"]
    (model,) = [model for model in models if model["name"] == table]
    return {column["name"]: column["data_type"].replace("string", "text") for column in model["columns"]}

"""Write the areas of an occurrence database of version 2 alone, as a small database.

For programs in which people choose a place; values are left out.

    britekit compile-location-catalog --input occurrence.db --output locations.db
"""

from typing import Annotated, Any

from britekit.options import opt


def compile_location_catalog(
    input_path: Annotated[
        str, opt("--input", required=True, metavar="FILE", help="occurrence database of version 2")
    ] = "",
    output_path: Annotated[
        str, opt("--output", required=True, metavar="FILE", help="catalog to write; must not exist")
    ] = "",
) -> Any:
    """Write the catalog; see `britekit.occurrence.catalog.compile_location_catalog`.

    Returns
    -------
    LocationCatalogReport
        Code of the region, numbers of areas and levels.
    """
    from britekit.occurrence.catalog import compile_location_catalog as compile_catalog

    report = compile_catalog(input_path, output_path)
    print(f"region = {report.region_code}")
    print(f"areas = {report.area_count}")
    print(f"selectable = {report.selectable_area_count}")
    print(f"levels = {report.level_count}")
    return report

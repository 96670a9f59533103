"""Convert an occurrence database of version 1 to version 2, with areas of several levels.

The metadata file is JSON: region_pack (code, name, data_version), areas (code, name, level, area_type,
parent_code) and levels. The input stays as it is.

    britekit migrate-occurrence --input old.db --output new.db --metadata areas.json
"""

from typing import Annotated, Any

from britekit.options import opt


def migrate_occurrence(
    input_path: Annotated[
        str, opt("--input", required=True, metavar="FILE", help="occurrence database of version 1")
    ] = "",
    output_path: Annotated[
        str, opt("--output", required=True, metavar="FILE", help="database to write; must not exist")
    ] = "",
    metadata_path: Annotated[
        str, opt("--metadata", required=True, metavar="FILE", help="JSON file that describes region and areas")
    ] = "",
) -> Any:
    """Convert the database; see `britekit.occurrence.migration.migrate_occurrence_v1_to_v2`.

    Returns
    -------
    OccurrenceMigrationReport
        Numbers of areas, classes and rows.
    """
    from britekit.occurrence.migration import migrate_occurrence_v1_to_v2

    report = migrate_occurrence_v1_to_v2(input_path, output_path, metadata_path)
    print(f"areas_of_the_input = {report.source_area_count}")
    print(f"areas_around_these = {report.parent_area_count}")
    print(f"areas = {report.total_area_count}")
    print(f"classes = {report.class_count}")
    print(f"occurrences = {report.occurrence_count}")
    return report

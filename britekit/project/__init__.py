"""Files that `britekit init` writes to a directory: a project, as in this repository's own root.

Every file here except Python files goes to the same place in the project; `gitignore` and `dvcignore` get their dot
there (with it they would act here). `params.yaml` and `yaml/base_config.yaml` are written from the settings.

- `layout.py`: writes the files and makes the directory a git and DVC repository
- `promotion.py`: which commit's Bento is promoted to a stage, and whether another may be
- `summary.py`: how good the project's recognizer is, in a few lines
"""

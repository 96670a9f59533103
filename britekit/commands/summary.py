"""Print how good the project's recognizer is: five figures, a threshold and the next command.

britekit summary
"""


def summary() -> str:
    """Print the figures of the project's last test; return the text."""
    from britekit.project.summary import summary_text
    from britekit.tracking.facts import project_root

    text = summary_text(project_root())
    print(text)
    return text

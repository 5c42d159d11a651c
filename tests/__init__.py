from pathlib import Path

import pytest

# As in the test modules: so that what helpers assert is asked under `python -O` too.
pytest.register_assert_rewrite(
    *(f"{__name__}.{path.stem}" for path in Path(__file__).parent.iterdir())
)

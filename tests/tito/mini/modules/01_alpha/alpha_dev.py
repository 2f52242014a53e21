# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Alpha
#
# Doubling and negating.

# %%
#| default_exp core.alpha
#| export
import numpy as np


# %% nbgrader={"grade": false, "grade_id": "double", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def double(x: float) -> float:
    """Twice x.

    TODO: return x times two.
    """
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-double", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_unit_double() -> None:
    """Doubling works for both signs."""
    assert double(2) == 4
    ### BEGIN HIDDEN TESTS
    assert double(-3) == -6
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_double()


# %% nbgrader={"grade": false, "grade_id": "negate", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def negate(x: np.ndarray) -> np.ndarray:
    """Minus x."""
    ### BEGIN SOLUTION
    return -x
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-negate", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_module_alpha() -> None:
    """Both together."""
    assert negate(np.array([double(1)])).tolist() == [-2]


if __name__ == "__main__":
    test_module_alpha()

# %% [markdown]
# Why? (10 points)
#
# - (10 points) says why

# %% [markdown] nbgrader={"grade": true, "grade_id": "question-why", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Because.

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
# # Beta

# %%
#| default_exp core.beta
#| export
from tinytorch.core.alpha import double


# %% nbgrader={"grade": false, "grade_id": "quadruple", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def quadruple(x: float) -> float:
    """Four times x, by doubling twice."""
    ### BEGIN SOLUTION
    return double(double(x))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-quadruple", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_module_quadruple() -> None:
    """Four times."""
    assert quadruple(3) == 12


if __name__ == "__main__":
    test_module_quadruple()

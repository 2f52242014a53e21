"""The parts that modules 01 to 14 build."""

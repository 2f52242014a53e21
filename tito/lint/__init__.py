"""What an author must get right in a module, as rules with codes. `static` reads the lesson, `dynamic` runs it."""

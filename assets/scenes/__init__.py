"""Procedural meals for the example pictures, built from shared looks, shapes, placing and light. A unit is 1 cm."""

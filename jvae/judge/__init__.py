"""Photographs and their labels in; a classifier that says which attributes a picture shows out."""

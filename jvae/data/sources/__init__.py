"""Pictures as people have them in; examples, one by one in an order that never changes, out."""

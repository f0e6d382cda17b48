"""A model and images in; reconstruction and edit scores out."""

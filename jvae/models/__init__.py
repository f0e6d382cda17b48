"""Images in, posteriors or attributes out; latents in, images out; and the loss between images."""

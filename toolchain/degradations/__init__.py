"""Degraded images: noise, blur, rain, haze, recorded pairs, and crops of them."""

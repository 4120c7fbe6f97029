"""`count_spikes`: counting a torch network of any spiking library while it runs."""

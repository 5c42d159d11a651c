"""What knows neither an event loop nor Rx: values, errors, options and rules."""

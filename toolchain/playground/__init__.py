"""`snn-tool playground`: a page that restores photographs in the browser by students that come along."""

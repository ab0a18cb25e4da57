"""The analyst's and the central team's side: SDK and the command datalabbet."""

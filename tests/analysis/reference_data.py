"""Published results that the statistics are checked against."""

import pandas as pd

# García & Herrera (2008): accuracies of five classifiers on 30 data sets.
CLASSIFIERS = {
    "C4.5": ".219 .803 .859 .809 .768 .759 .693 .544 .945 .725 .674 .801 .785 .710 .691 .743 .990 .867 .821 .893 "
    ".799 .845 .741 .799 .949 .555 .928 .915 .855 .906",
    "1NN": ".202 .750 .814 .774 .790 .654 .611 .531 .954 .705 .736 .357 .770 .402 .827 .739 .482 .098 .872 .824 "
    ".655 .731 .701 .994 .955 .505 .928 .857 .796 .359",
    "NB": ".249 .813 .845 .673 .727 .734 .572 .558 .978 .739 .721 .520 .841 .728 .667 .830 .941 .915 .815 .902 "
    ".925 .693 .591 .603 .989 .569 .945 .860 .857 .895",
    "Kernel": ".165 .692 .542 .275 .872 .703 .689 .439 .541 .625 .356 .309 .659 .120 .527 .549 .857 .986 .885 .739 "
    ".517 .653 .663 .269 .770 .312 .419 .700 .607 .641",
    "CN2": ".261 .798 .816 .785 .706 .714 .572 .541 .858 .717 .704 .520 .759 .674 .638 .746 .990 .784 .778 .885 "
    ".755 .704 .619 .621 .954 .556 .897 .777 .809 .918",
}


def classifier_losses() -> pd.DataFrame:
    """One minus the accuracies: data sets × classifiers, smaller is better."""
    table = pd.DataFrame({name: [float(x) for x in column.split()] for name, column in CLASSIFIERS.items()})
    return 1 - table.set_axis([f"data{index:02d}" for index in range(len(table))])

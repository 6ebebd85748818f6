# plot.gp INPUT OUTPUT: yearly sunspot numbers and their running mean over a solar cycle.
input = ARG1
output = ARG2

set datafile separator ","
set terminal pngcairo size 1400,620 background "#fdfcf8" font "DejaVu Sans,12" enhanced
set output output

set lmargin at screen 0.065
set rmargin at screen 0.975
set bmargin at screen 0.13
set tmargin at screen 0.83

set label 1 "Sunspots, 1700 to 2008" at screen 0.065,0.945 font "DejaVu Sans Bold,20" textcolor "#222222"
set label 2 "Mean number of each year, and its running mean over 11 years" at screen 0.065,0.885 textcolor "#666666"
set label 3 "Data: US National Geophysical Data Center (public domain)" at screen 0.975,0.035 right font ",9" textcolor "#999999"

set border 1 linecolor "#999999"
set xrange [1698:2010]
set yrange [0:200]
set xtics 1700,25,2000 nomirror out textcolor "#444444"
set ytics 0,50,200 nomirror scale 0 textcolor "#444444"
set grid ytics linetype 1 linecolor "#e6e2d8" linewidth 1
unset key

# Forty years in which the cycles were low: the Dalton minimum, about 1790 to 1830.
set object 1 rectangle from 1790,0 to 1830,200 fillcolor "#e9eef4" fillstyle solid noborder behind
set label 4 "Dalton minimum" at 1810,190 center font ",10" textcolor "#7f93a8"

# The mean of the last eleven years, drawn at their middle.
cycle = 11
array past[cycle]
count = 0
running(y) = (count = count + 1, past[((count - 1) % cycle) + 1] = y, count < cycle ? NaN : (sum [i = 1:cycle] past[i]) / cycle)

plot input using 1:2 every ::1 with filledcurves y1=0 fillcolor "#f4b942" fillstyle transparent solid 0.75 noborder, \
     input using 1:2 every ::1 with lines linecolor "#d98e04" linewidth 1.2, \
     input using ($1 - 5):(running($2)) every ::1 with lines linecolor "#1f3a5f" linewidth 3

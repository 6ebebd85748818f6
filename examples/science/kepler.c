/* Solves Kepler's equation M = E - e sin E by Newton's method: reads "M e" lines, writes E. */
#include <math.h>
#include <stdio.h>

int main(void)
{
    double mean, eccentricity;
    while (scanf("%lf %lf", &mean, &eccentricity) == 2) {
        double anomaly = mean;
        for (int i = 0; i < 50; i++)
            anomaly -= (anomaly - eccentricity * sin(anomaly) - mean) / (1 - eccentricity * cos(anomaly));
        printf("%.15f\n", anomaly);
    }
    return 0;
}

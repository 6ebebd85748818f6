/* The orbit of a planet, by two integrators: orbit NUMBERS.tex PICTURE.eps
 *
 * The units are those of the orbit: its semi-major axis is 1, and a year takes 2 pi.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846;
static const double ECCENTRICITY = 0.5;
enum { STEPS_A_YEAR = 400, YEARS = 10 };

struct planet { double x, y, u, v; };

static struct planet at_perihelion(void) {
    double distance = 1 - ECCENTRICITY;
    return (struct planet){distance, 0, 0, sqrt((1 + ECCENTRICITY) / distance)};
}

static void pull(struct planet *planet, double step) {
    double r = hypot(planet->x, planet->y), cube = r * r * r;
    planet->u -= step * planet->x / cube;
    planet->v -= step * planet->y / cube;
}

static void drift(struct planet *planet, double step) {
    planet->x += step * planet->u;
    planet->y += step * planet->v;
}

static void euler(struct planet *planet, double step) {
    struct planet before = *planet;
    pull(planet, step);
    planet->x += step * before.u;
    planet->y += step * before.v;
}

static void leapfrog(struct planet *planet, double step) {
    pull(planet, step / 2);
    drift(planet, step);
    pull(planet, step / 2);
}

static double energy(const struct planet *planet) {
    return (planet->u * planet->u + planet->v * planet->v) / 2 - 1 / hypot(planet->x, planet->y);
}

/* Draw the orbit as a PostScript path; return the largest relative error of the energy on the way. */
static double draw(FILE *picture, void (*advance)(struct planet *, double), const char *colour) {
    struct planet planet = at_perihelion();
    double first = energy(&planet), worst = 0;
    fprintf(picture, "%s setrgbcolor %.5f %.5f moveto\n", colour, planet.x, planet.y);
    for (int count = 0; count < STEPS_A_YEAR * YEARS; count++) {
        advance(&planet, 2 * PI / STEPS_A_YEAR);
        worst = fmax(worst, fabs((energy(&planet) - first) / first));
        fprintf(picture, "%.5f %.5f lineto\n", planet.x, planet.y);
    }
    fprintf(picture, "stroke\n");
    return worst;
}

static FILE *opened(const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

static void closed(FILE *file, const char *path) {
    if (fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "orbit NUMBERS.tex PICTURE.eps\n");
        return 2;
    }
    FILE *picture = opened(words[2]);
    fprintf(picture, "%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 360 200\n%%%%EndComments\n");
    fprintf(picture, "272 100 translate 34 dup scale 0.016 setlinewidth 1 setlinejoin\n");
    double wrong = draw(picture, euler, "0.85 0.45 0.1");
    double right = draw(picture, leapfrog, "0.1 0.3 0.6");
    fprintf(picture, "0 setgray 0 0 0.06 0 360 arc fill\nshowpage\n%%%%EOF\n");
    closed(picture, words[2]);

    FILE *numbers = opened(words[1]);
    fprintf(numbers, "\\newcommand{\\years}{%d}\n\\newcommand{\\steps}{%d}\n", YEARS, STEPS_A_YEAR);
    fprintf(numbers, "\\newcommand{\\eulererror}{%.0f\\%%}\n", 100 * wrong);
    fprintf(numbers, "\\newcommand{\\leapfrogerror}{%.2f\\%%}\n", 100 * right);
    closed(numbers, words[1]);
    return 0;
}

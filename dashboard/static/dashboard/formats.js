// Numbers, durations, sizes and shares as dashboard/formats.py writes them; tests/dashboard/formats.json holds the
// cases of both. A value that is unknown or does not apply is null.

const NONE = "–", UNKNOWN = "?", SPACE = "\u00a0";

// As Python rounds: a half goes to the even neighbour.
function round(number) {
  const low = Math.floor(number), rest = number - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

export function count(number) {
  return number == null ? NONE : String(round(number)).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function short_count(number) {
  if (number == null || number < 999_950) return count(number);
  let unit;
  for (unit of ["M", "G", "T"]) {
    number /= unit === "M" ? 1_000_000 : 1000;
    if (number < 999.5) break;
  }
  return `${number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0)}${SPACE}${unit}`;
}

const UNITS = [[86_400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

export function seconds(number) {
  if (number == null) return NONE;
  if (number < 9.95) return `${Math.max(0, number).toFixed(number < 0.995 ? 2 : 1)}${SPACE}s`;
  const whole = round(number);
  for (const [each, unit, smallerEach, smaller] of UNITS) {
    if (whole >= each) {
      return `${Math.floor(whole / each)}${SPACE}${unit} ${Math.floor((whole % each) / smallerEach)}${SPACE}${smaller}`;
    }
  }
  return `${whole}${SPACE}s`;
}

export function size(number) {
  if (number == null) return NONE;
  if (number < 1000) return `${round(number)}${SPACE}B`;
  if (number < 999_500) return `${round(number / 1000)}${SPACE}kB`;
  if (number < 999_950_000) return `${(number / 1_000_000).toFixed(1)}${SPACE}MB`;
  return `${(number / 1_000_000_000).toFixed(1)}${SPACE}GB`;
}

export function share(fraction) {
  if (fraction == null) return UNKNOWN;
  const percent = fraction * 100;
  if (percent > 0 && percent < 1) return `<1${SPACE}%`;
  if (percent >= 1 && percent < 9.95) return `${percent.toFixed(1)}${SPACE}%`;
  return `${percent >= 100 ? round(percent) : Math.min(99, round(percent))}${SPACE}%`;
}

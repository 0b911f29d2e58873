import { DAY, HOUR, MINUTE, SECOND } from '../core/duration.ts';

/** 9999-12-31T00:00:00Z, for facts that do not end by themselves. */
export const NEVER = 253_402_214_400_000;

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:Z|([+-])(\d{2}):(\d{2}))$/;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** A date (its first moment, UTC) or an RFC 3339 date-time without fraction, in ms since 1970; null for anything else. */
export function parseInstant(text: string): number | null {
  const date = DATE.exec(text);
  if (date !== null) return startOfDay(date);
  const time = DATE_TIME.exec(text);
  if (time === null) return null;
  const day = startOfDay(time);
  const [hour, minute, second] = [Number(time[4]), Number(time[5]), Number(time[6])];
  const [offsetHour, offsetMinute] = [Number(time[8] ?? 0), Number(time[9] ?? 0)];
  if (day === null || hour > 23 || minute > 59 || second > 59) return null;
  if (offsetHour > 23 || offsetMinute > 59) return null;
  const offset = offsetHour * HOUR + offsetMinute * MINUTE;
  const local = day + hour * HOUR + minute * MINUTE + second * SECOND;
  return time[7] === '-' ? local + offset : local - offset;
}

function startOfDay(parts: RegExpExecArray): number | null {
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = month === 2 && leap ? 29 : (MONTH_DAYS[month - 1] ?? 0);
  if (day < 1 || day > days || year < 1970) return null;
  return daysSince1970(year, month, day) * DAY;
}

// Counts from 1 March of year 0, so that the leap day is the last of a year; 719,468 days lie before 1970.
function daysSince1970(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const monthFromMarch = (month + 9) % 12;
  const dayOfYear = Math.floor((153 * monthFromMarch + 2) / 5) + day - 1;
  const leapDays = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  return shifted * 365 + leapDays + dayOfYear - 719_468;
}

// Writes joda.jsonl: what Joda-Time itself prints and reads, for the tests.
// Run: java -cp joda-time.jar testdata/Joda.java > testdata/joda.jsonl
import java.util.*;
import org.joda.time.*;
import org.joda.time.format.*;

public class Joda {
    static String q(String s) { return "\"" + s.replace("\\", "\\\\").replace("\"", "\\\"") + "\""; }

    public static void main(String[] args) {
        Locale.setDefault(Locale.ENGLISH);
        DateTimeZone.setDefault(DateTimeZone.UTC);
        String[] patterns = {
            "yyyy-MM-dd'T'HH:mm:ss.SSSZZ", "YYYY-MM-dd HH:mm:ss", "MM/dd/yyyy", "M/d/yy", "y", "yy", "yyy", "yyyyy", "Y", "YY", "YYYYY",
            "G", "GGGG", "C", "CC", "CCC", "x-'W'ww-e", "xx", "xxxx", "w", "www", "e", "ee", "E", "EE", "EEE", "EEEE", "D", "DDD", "DDDDD",
            "M", "MM", "MMM", "MMMM", "MMMMM", "d", "ddd", "a", "aaa", "K:mm a", "KK", "h:mm a", "hh", "H", "k", "kk", "m", "mmm", "s", "sss",
            "S", "SS", "SSS", "SSSS", "SSSSSSSSS", "Z", "ZZ", "ZZZ", "ZZZZ", "z", "''", "'o''clock'", "h 'o''clock' a", "yyyy'", "'unclosed yyyy",
            "EEEE, d MMMM yyyy", "EEE MMM dd HH:mm:ss z yyyy", "yyyyMMdd", "yyyyMMddHHmmssSSS", "dd.MM.yyyy HH:mm", "\u00e9 yyyy \u20ac", "yyyy-DDD",
        };
        String[] bad = { "", "b", "yyyy-MM-ddTHH:mm", "L", "u", "c", "q", "Q", "V", "X", "XXX", "W", "F", "A", "n", "N", "O", "p", "i" };
        long[] instants = { 1438363117979L, 1438300712000L, 0L, -1L, 1420070399999L, 1420070400000L, 1230768000000L, 1451606399000L,
            951782400000L, -62135596800000L, -62135596800001L, -62198755200000L, 253402300799999L, 1445738400000L, 1425798000000L, 1483228799123L };
        String[] zones = { "UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Europe/Paris", "+05:45", "-03:30" };
        for (String p : patterns) for (int i = 0; i < instants.length; i++) {
            String z = zones[i % zones.length];
            // Local mean time has no letters in one database and some in the other.
            if (p.contains("z") && instants[i] < 0) continue;
            DateTime t = new DateTime(instants[i], DateTimeZone.forID(z));
            if (t.getZone().getOffset(t) % 60000 != 0) continue;
            System.out.println("{\"pattern\":" + q(p) + ",\"millis\":" + instants[i] + ",\"zone\":" + q(z) + ",\"text\":" + q(DateTimeFormat.forPattern(p).print(t)) + "}");
        }
        for (String p : bad) {
            boolean ok = true;
            try { DateTimeFormat.forPattern(p); } catch (IllegalArgumentException e) { ok = false; }
            System.out.println("{\"pattern\":" + q(p) + ",\"bad\":" + !ok + "}");
        }
        String[][] parse = {
            {"yyyy-MM-dd", "2015-07-31"}, {"yyyy-MM-dd", "15-07-31"}, {"yyyy-MM-dd", "2015-7-1"}, {"yyyy-MM-dd", "2015-13-01"}, {"yyyy-MM-dd", "2015-02-29"},
            {"yyyy-MM-dd", "2016-02-29"}, {"yyyy-MM-dd", "2015-02-31"}, {"yyyy-MM-dd", "2015-07-31x"}, {"yyyy-MM-dd", "2015-07"}, {"yyyy-MM-dd", "-0044-03-15"},
            {"yyyy-MM-dd", "+2015-07-31"}, {"yyyy-MM-dd", "12345-07-31"}, {"yyyy-MM-dd", " 2015-07-31"}, {"yyyy-MM-dd", "2015-07-001"}, {"yyyy-MM-dd", ""},
            {"yyyyMMdd", "20150731"}, {"yyyyMMdd", "2015731"}, {"yyyyMMdd", "120150731"}, {"yyyyMMdd", "-0150731"}, {"yMMdd", "20150731"}, {"yMMdd", "50731"},
            {"yyMMdd", "150731"}, {"yyMMdd", "450731"}, {"yyMMdd", "460731"}, {"yyMMdd", "1507311"}, {"yyMMdd", "7"},
            {"MM/dd/yy", "07/31/15"}, {"MM/dd/yy", "07/31/45"}, {"MM/dd/yy", "07/31/46"}, {"MM/dd/yy", "07/31/2015"}, {"MM/dd/yy", "07/31/5"}, {"MM/dd/yy", "07/31/-15"},
            {"MM/dd/yy", "07/31/+15"}, {"MM/dd/YY", "07/31/15"}, {"MM/dd/YY", "07/31/99"},
            {"M/d/yyyy", "7/31/2015"}, {"M/d/yyyy", "07/31/2015"}, {"M/d/yyyy", "007/31/2015"}, {"MMM d, yyyy", "Jul 31, 2015"}, {"MMM d, yyyy", "July 31, 2015"},
            {"MMM d, yyyy", "JULY 31, 2015"}, {"MMM d, yyyy", "jul 31, 2015"}, {"MMMM d, yyyy", "Jul 31, 2015"}, {"MMMM d, yyyy", "Jux 31, 2015"}, {"MMMM d, yyyy", "May 31, 2015"},
            {"EEE, dd MMM yyyy", "Fri, 31 Jul 2015"}, {"EEE, dd MMM yyyy", "Friday, 31 Jul 2015"}, {"EEE, dd MMM yyyy", "Mon, 31 Jul 2015"}, {"EEEE dd MMM yyyy", "Sun 31 Jul 2015"}, {"EEE", "Mon"}, {"EEE", "Sunday"},
            {"HH:mm", "17:18"}, {"HH:mm", "24:00"}, {"HH:mm", "7:5"}, {"HH:mm", "17:60"}, {"HH:mm", "117:00"}, {"kk:mm", "24:00"}, {"kk:mm", "0:00"}, {"kk:mm", "23:59"},
            {"hh:mm a", "12:00 AM"}, {"hh:mm a", "12:00 PM"}, {"hh:mm a", "01:30 pm"}, {"hh:mm a", "13:30 pm"}, {"hh:mm a", "0:30 pm"}, {"KK:mm a", "0:30 PM"}, {"KK:mm a", "12:30 PM"}, {"hh:mm", "12:30"}, {"hh:mm", "11:30"}, {"a", "pm"}, {"HH hh", "15 03"}, {"HH hh", "15 04"}, {"a HH", "AM 15"}, {"a HH", "PM 03"},
            {"ss", "60"}, {"ss", "59"}, {"HH:mm:ss.SSS", "17:18:37.979"}, {"HH:mm:ss.SSS", "17:18:37.9"}, {"HH:mm:ss.SSS", "17:18:37.9791"}, {"HH:mm:ss.S", "17:18:37.9"}, {"HH:mm:ss.S", "17:18:37.97"}, {"HH:mm:ss.SSSSSS", "17:18:37.979999"}, {"HH:mm:ss.SSSSSS", "17:18:37.9"}, {"HHmmssSSS", "171837979"},
            {"yyyy-DDD", "2015-212"}, {"yyyy-DDD", "2015-366"}, {"yyyy-DDD", "2016-366"}, {"yyyy-DDD", "2015-0"}, {"yyyyDDD", "2015212"}, {"DDD", "60"}, {"D", "366"},
            {"xxxx-'W'ww-e", "2015-W31-5"}, {"xxxx-'W'ww-e", "2015-W53-5"}, {"xxxx-'W'ww-e", "2016-W53-5"}, {"xxxx-'W'ww-e", "2015-W01-1"}, {"xxxx-'W'ww", "2015-W31"}, {"xx", "15"}, {"xxxx", "2015"}, {"ww", "31"}, {"e", "3"}, {"e", "8"}, {"ee", "05"}, {"YYYY-ww", "2015-31"}, {"YYYY-ww", "2016-01"}, {"YYYY-ww", "2016-53"},
            {"C", "20"}, {"CC", "20"}, {"CCyy", "2015"}, {"CC YYYY", "19 2015"}, {"G YYYY", "AD 2015"}, {"G YYYY", "BC 44"}, {"YYYY G", "44 bc"}, {"G yyyy", "BC 44"}, {"G YYYY", "XX 44"}, {"G YYYY", "BC 0"}, {"YYYY", "0"}, {"yyyy", "0"}, {"yyyy", "-1"},
            {"MM-dd", "02-29"}, {"MM", "7"}, {"dd", "31"}, {"MM-dd", "07-31"}, {"dd HH", "31 17"}, {"yyyy", "2015"}, {"yyyy-MM", "2015-02"}, {"MMdd", "0229"},
            {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 -0400"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 Z"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 z"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 -04:00"}, {"yyyy-MM-dd HH:mm ZZ", "2015-07-31 17:18 +05:30"}, {"yyyy-MM-dd HH:mm ZZ", "2015-07-31 17:18 +0530"}, {"yyyy-MM-dd HH:mm ZZ", "2015-07-31 17:18 +05"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 +5"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 +053"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 +24:00"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 +05:60"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 +05:30:15"}, {"yyyy-MM-dd HH:mm Z", "2015-07-31 17:18 +"},
            {"yyyy-MM-dd HH:mm ZZZ", "2015-07-31 17:18 America/New_York"}, {"yyyy-MM-dd HH:mm ZZZ", "2015-07-31 17:18 Asia/Tokyo"}, {"yyyy-MM-dd HH:mm ZZZ", "2015-07-31 17:18 Nowhere/Land"}, {"yyyy-MM-dd ZZZ HH", "2015-07-31 UTC 17"}, {"ZZZ'x'yyyy", "Europe/Parisx2015"},
            {"yyyy-MM-dd HH:mm z", "2015-07-31 17:18 EST"}, {"yyyy-MM-dd HH:mm z", "2015-07-31 17:18 EDT"}, {"yyyy-MM-dd HH:mm z", "2015-01-31 17:18 PST"}, {"yyyy-MM-dd HH:mm z", "2015-07-31 17:18 UTC"}, {"yyyy-MM-dd HH:mm z", "2015-07-31 17:18 CET"}, {"yyyy-MM-dd HH:mm zzzz", "2015-07-31 17:18 MST"}, {"yyyy ww e", "2016 01 3"}, {"yyyy e", "2016 3"}, {"yyyy E", "2016 Sun"}, {"yyyy MM e", "2016 02 3"}, {"MM E", "02 Sun"}, {"yyyy ww", "2020 53"}, {"yyyy ww", "2021 53"}, {"yyyy D e", "2016 60 1"}, {"xxxx e", "2016 3"}, {"xxxx MM dd", "2016 07 31"}, {"xxxx yyyy", "2016 2015"},
            {"'T'HH", "t17"}, {"'at' HH", "AT 17"}, {"HH 'o''clock'", "17 o'clock"}, {"HH 'o''clock'", "17 oclock"},
            {"yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2015-06-17T00:23:19.676Z"}, {"HH:mm:ss.SSS", "17:18:37."}, {"yyyy", "200000000"}, {"yyyy", "300000000"}, {"yyyyyyyyyy", "2147483648"},
        };
        String[] pz = { "UTC", "America/New_York", "Asia/Tokyo" };
        for (String[] c : parse) for (String z : pz) {
            String got;
            try { got = "" + DateTimeFormat.forPattern(c[0]).withZone(DateTimeZone.forID(z)).withPivotYear(1996).parseMillis(c[1]); }
            catch (IllegalArgumentException | UnsupportedOperationException e) { got = "null"; }
            System.out.println("{\"pattern\":" + q(c[0]) + ",\"parse\":" + q(c[1]) + ",\"zone\":" + q(z) + ",\"millis\":" + got + "}");
        }
        // Both ends of daylight saving time.
        for (String s : new String[] { "2015-03-08 01:59", "2015-03-08 02:30", "2015-03-08 03:00", "2015-11-01 00:59", "2015-11-01 01:30", "2015-11-01 02:00" }) {
            String got;
            try { got = "" + DateTimeFormat.forPattern("yyyy-MM-dd HH:mm").withZone(DateTimeZone.forID("America/New_York")).parseMillis(s); }
            catch (IllegalArgumentException e) { got = "null"; }
            System.out.println("{\"pattern\":\"yyyy-MM-dd HH:mm\",\"parse\":" + q(s) + ",\"zone\":\"America/New_York\",\"millis\":" + got + "}");
        }
    }
}

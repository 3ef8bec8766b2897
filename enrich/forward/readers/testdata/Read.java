import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;

import org.apache.tomcat.util.buf.MessageBytes;
import org.apache.tomcat.util.http.MimeHeaders;
import org.apache.tomcat.util.http.Parameters;
import org.apache.tomcat.util.http.Rfc6265CookieProcessor;
import org.apache.tomcat.util.http.ServerCookies;

/**
 * Reads cookies and queries as Tomcat does: one request a line of standard
 * input, a letter and the header or query in hexadecimal; one JSON object a
 * line of standard output, from readers to names in hexadecimal.
 */
public class Read {
	public static void main(String[] args) throws Exception {
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
		PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
		for (String line = in.readLine(); line != null; line = in.readLine()) {
			byte[] text = HexFormat.of().parseHex(line.substring(1));
			List<String> names = line.charAt(0) == 'c' ? cookies(text) : parameters(text);
			String list = names.stream().map(n -> '"' + HexFormat.of().formatHex(n.getBytes(StandardCharsets.UTF_8)) + '"').collect(Collectors.joining(","));
			out.println("{\"Tomcat\":[" + list + "]}");
		}
		out.flush();
	}

	private static List<String> cookies(byte[] text) {
		MimeHeaders headers = new MimeHeaders();
		headers.addValue("Cookie").setBytes(text, 0, text.length);
		ServerCookies cookies = new ServerCookies(4);
		new Rfc6265CookieProcessor().parseCookieHeader(headers, cookies);
		List<String> names = new ArrayList<>();
		for (int i = 0; i < cookies.getCookieCount(); i++) {
			names.add(cookies.getCookie(i).getName().toString());
		}
		return names;
	}

	private static List<String> parameters(byte[] text) {
		Parameters parameters = new Parameters();
		MessageBytes query = MessageBytes.newInstance();
		query.setBytes(text, 0, text.length);
		parameters.setQuery(query);
		parameters.setQueryStringCharset(StandardCharsets.UTF_8);
		try {
			parameters.handleQueryParameters();
		} catch (RuntimeException e) {
			return List.of(); // the application answers 400
		}
		return Collections.list(parameters.getParameterNames());
	}
}

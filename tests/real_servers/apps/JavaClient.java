import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Arrays;

/**
 * Java's own client as it is by default: it prefers HTTP/2, and so offers h2c with the first request of each plain connection.
 *
 * Arguments: the URL of the server, and the version that its answers must be of. A GET and a POST, each of a client that has
 * asked nothing before, and then both once more by the same client.
 */
public class JavaClient {
    private static final Duration LIMIT = Duration.ofSeconds(20);

    public static void main(String[] arguments) throws Exception {
        String base = arguments[0];
        HttpClient.Version version = HttpClient.Version.valueOf(arguments[1]);
        byte[] sent = new byte[100_000];
        for (int at = 0; at < sent.length; at++) {
            sent[at] = (byte) (at / 7);
        }
        HttpRequest get = HttpRequest.newBuilder(URI.create(base + "/hello")).timeout(LIMIT).build();
        HttpRequest post = HttpRequest.newBuilder(URI.create(base + "/upload"))
            .timeout(LIMIT).POST(BodyPublishers.ofByteArray(sent)).build();
        for (HttpRequest first : Arrays.asList(get, post)) {
            HttpClient client = HttpClient.newBuilder().connectTimeout(LIMIT).build();
            for (HttpRequest request : Arrays.asList(first, get, post, get)) {
                HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
                String what = request.method() + ": " + response.statusCode() + ", " + response.version();
                System.out.println(what + ", " + response.body());
                String expected = request == get ? "{\"hello\":\"world\"}" : "{\"length\":" + sent.length + ",";
                if (response.statusCode() != 200 || response.version() != version || !response.body().startsWith(expected)) {
                    System.exit(1);
                }
            }
        }
        // Its threads would keep the program alive for a while.
        System.exit(0);
    }
}

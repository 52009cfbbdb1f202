"""nginx that checks passwords itself, as in Distribution's recipe."""
import bcrypt

from dev.servers.nginx import Nginx
from tests.docs import pages

#: The file of users in the documents and in config/nginx.conf.
USERS_FILE = '/etc/nginx/conf.d/nginx.htpasswd'
USER, PASSWORD = 'testuser', 'testpassword'
# https://distribution.github.io/distribution/recipes/nginx/
_RECIPE = """
map $upstream_http_docker_distribution_api_version $docker_distribution_api_version {
    '' 'registry/2.0';
}
server {
    listen 127.0.0.1:8080;
    client_max_body_size 0;
    location /v2/ {
        auth_basic "Registry realm";
        auth_basic_user_file %s;
        add_header 'Docker-Distribution-Api-Version' $docker_distribution_api_version always;
        proxy_pass http://127.0.0.1:5000;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
    }
    %s
}
"""


class _WithUsers(Nginx):
    def text(self):
        """Return the configuration of the site."""
        raise NotImplementedError

    def site(self):
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        return self.text().replace(USERS_FILE, self.write(
            'nginx.htpasswd', '%s:%s\n' % (USER, hashed)))


class ReadmeNginx(_WithUsers):
    """The recipe with the lines of the README."""

    page = 'README.md'

    def text(self):
        [lines] = pages.blocks(self.page, 'nginx')
        return _RECIPE % (USERS_FILE, lines)


class ServicePageNginx(ReadmeNginx):
    """The recipe with the lines of docs/service.md."""

    page = 'docs/service.md'


class PagePageNginx(_WithUsers):
    """The recipe with the lines of docs/page.md."""

    def text(self):
        [lines] = pages.blocks('docs/page.md', 'nginx')
        return _RECIPE % (USERS_FILE, lines)


class CompleteNginx(_WithUsers):
    """config/nginx.conf with its lines about passwords, which are comments in the file."""

    ready_status = (404,)

    def text(self):
        text = pages.read('config/nginx.conf')
        for line in 'auth_basic           "Registry', 'auth_basic_user_file /etc':
            assert text.count('# ' + line) == 1
            text = text.replace('# ' + line, line)
        return text
